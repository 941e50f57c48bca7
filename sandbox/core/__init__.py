"""What every slice stands on: database, clock, ids, money, errors, HTTP kit."""
