"""Double entry in the books of DESIGN 4: pending, then posted or voided by a second row."""
