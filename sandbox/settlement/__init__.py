"""Settlement: batches of captured payments, their burns, and the payouts that follow."""
