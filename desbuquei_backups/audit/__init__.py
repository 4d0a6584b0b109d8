"""The compliance report: what was promised, what shows that it was kept, and what cannot be known."""
