"""Methods in words, with the model's formula and references; nothing that was not done."""

from __future__ import annotations

from varfx._version import __version__
from varfx.pages.study import Study
from varfx.pages.words import fixed
from varfx.report.html.blocks import Block, Formula, Prose, Section

MODEL = (
    "z ~ N(0,  R F R + σ² R),      F = diag(N f)",
    "w = Λ^(−1/2) V′ z,   B = Λ^(−1/2) V′ R,   R = V Λ V′",
    "w ~ N(0, C),   C = B F B′ + σ² I",
    "log p = −½ [ log |C| + w′ C⁻¹ w + r log 2π ]",
)
FINEMAPPING = ("w ~ N(B b, κ B F B′ + σ² I),   b = Σ_l b_l,   each b_l one non-zero effect",)
REFERENCES = {
    "deepwas": "DeepWAS: priors of variant effects learned from GWAS by the full marginal likelihood.",
    "susie": "Wang G. et al. (2020) A simple new approach to variable selection in regression, with application to genetic fine mapping. J R Stat Soc B 82, 1273–1300. Zou Y. et al. (2022) Fine-mapping from summary data with the Sum of Single Effects model. PLoS Genet 18, e1010299.",
    "polyfun": "Weissbrod O. et al. (2020) Functionally informed fine-mapping and polygenic localization of complex trait heritability. Nat Genet 52, 1355–1363.",
    "ldsc": "Bulik-Sullivan B. et al. (2015) LD Score regression distinguishes confounding from polygenicity in genome-wide association studies. Nat Genet 47, 291–295.",
    "sldsc": "Finucane H. et al. (2015) Partitioning heritability by functional annotation using genome-wide association summary statistics. Nat Genet 47, 1228–1235. Gazal S. et al. (2017) Linkage disequilibrium–dependent architecture of human complex traits shows action of negative selection. Nat Genet 49, 1421–1427.",
    "colours": "Okabe M., Ito K. (2008) Color universal design. Satyanarayan A. et al. (2017) Vega-Lite: a grammar of interactive graphics. IEEE Trans Vis Comput Graph 23, 341–350.",
}  # fmt: skip


def methods_section(study: Study, *, finemapping: bool, heritability: bool, evaluated: bool) -> Section:
    """What was done, in order, with the references of what the report shows."""
    config = study.run.record["config"]
    training = config["training"]
    rank = study.panel.metadata["config"].get("rank_variance")
    kept = (
        "all eigenpairs"
        if not rank or rank >= 1
        else f"the eigenpairs that hold {100 * rank:g} % of a window's LD variance"
    )
    panel = study.panel.metadata["config"]
    blocks: list[Block] = [
        Prose(
            text=f"A {study.kind} model maps what is known of a variant to the variance f of its effect on standardised genotypes, f = (p(1−p))^α · g(features). It was fitted by varfx {__version__} to the associations of {study.trait['name']} by maximising the marginal likelihood given LD, with random effects integrated out:"
        ),
        Formula(lines=MODEL),
        Prose(
            text=f"R is the LD of {study.panel.num_people:,} individuals in windows of {panel['core'] / 1e6:g} Mb whose effects may lie up to {panel['flank'] / 1e6:g} Mb outside; of R, {kept} are used. N is the sample size, σ² the residual variance (estimated: {fixed(study.trait['sigma2'])}), α = {fixed(study.trait['alpha'], 2)}. The objective was `{training['objective']}`, the learning rate and the number of steps were chosen on the validation windows (best step {study.run.record['outcome']['best_step']:,})."
        ),
        Prose(
            text="Summary statistics were matched to the LD panel by position and alleles; the ledger above counts each rule. Variants without an association keep their effect in the model."
        ),
    ]
    if shared := study.trait.get("mixture"):
        blocks.append(
            Prose(
                text=f"Then the model's second output, the chance of a sparse effect of each variant, was trained with the first by an evidence lower bound in which an effect is the sum of a normal background (share {shared['background']:.0%} of the variance) and of a sparse part in {len(shared['slab_sizes'])} sizes; f is the variance of both together."
            )
        )
    names = ["deepwas", "ldsc"]
    if evaluated:
        blocks.append(
            Prose(
                text="Gain: log likelihood of held-out windows under the fitted prior minus that of no heritability with its own σ², in nats; its 95 % interval is a bootstrap over windows. Calibration: for each variant b′C⁻¹w has variance b′C⁻¹b if the prior is right; shown is the sum of its squares over the sum of these variances, by tenth of f."
            )
        )
    if heritability:
        blocks.append(
            Prose(
                text="Heritability and enrichment: f is multiplied by exp(δ′φ) of the annotations φ, δ and σ² are estimated by the likelihood of windows that the model has not seen where it is a network; standard errors are by one-step block jackknife (or the sandwich, where stated)."
            )
        )
        names.append("sldsc")
    if finemapping:
        blocks += [
            Prose(
                text="Fine-mapping: the sum of single effects model on whitened associations, with prior weights proportional to f and a polygenic background:"
            ),
            Formula(lines=FINEMAPPING),
            Prose(
                text="The part of R outside the kept eigenpairs returns as a diagonal. Credible sets hold the variants of one effect in order of probability until the stated coverage; PIPs under the uniform prior come from the same model with equal weights."
            ),
        ]
        names += ["susie", "polyfun"]
    blocks.append(Prose(text="References"))
    blocks += [Prose(text=REFERENCES[name]) for name in [*names, "colours"]]
    return Section(anchor="methods", heading="Methods", blocks=tuple(blocks))
