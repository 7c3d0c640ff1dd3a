"""The ledger database's versions. They are applied by ``Database.migrate``."""
