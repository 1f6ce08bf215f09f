"""The paper's own four ways (its Figure 2): ridged marginal likelihood by Cholesky and by CG with three preconditioners.

Baselines for comparison; `prior fit` never uses them. Start with `ridged`.
"""
