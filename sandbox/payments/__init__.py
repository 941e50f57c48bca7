"""Checkout: sessions, matching of chain transfers, payments, refunds, the stray desk."""
