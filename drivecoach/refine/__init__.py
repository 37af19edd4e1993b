"""Counterexample-guided tuning: what a model gets wrong, of all that it can be asked, becomes what it learns next."""
