"""What each meter protocol calls a quantity: nothing above this folder knows a data identifier."""
