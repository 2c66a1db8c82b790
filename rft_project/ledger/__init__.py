"""Every call that spends, written down before it is made, so that it is made once (docs/spending.md)."""
