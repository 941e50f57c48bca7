"""KZTE Sandbox: a stablecoin payment system of a pilot city on one machine."""
