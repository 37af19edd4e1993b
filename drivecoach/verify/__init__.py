"""Every input that a domain has, answered and counted: a certificate of the counts, and every counterexample."""
