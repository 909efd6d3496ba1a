"""Settings: `base` for all; `dev` on one machine, `test` under pytest, `prod` at a bureau."""
