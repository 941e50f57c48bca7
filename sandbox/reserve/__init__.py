"""The issuer's reserve: tenge in, tokens out only against it, and the checks that say so."""
