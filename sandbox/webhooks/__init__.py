"""Webhooks (Standard Webhooks 1.0.0): endpoints, one delivery per event and endpoint, retries."""
