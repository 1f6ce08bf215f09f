"""Material that several tests share: simulated panels, cohorts, files of every format, slow transcriptions."""
