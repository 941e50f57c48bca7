"""Recordings of a run: made, sent again, served offline and compared. HTTP only."""
