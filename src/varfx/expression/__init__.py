"""Expression from personal genomes: cohorts, sequences, sequence models and the linear models they are judged by."""
