"""How one network becomes another: operators that return a child graph and an inheritance plan."""
