"""JSON under `/api/v1`: decimals as strings, instants in UTC, pages by cursor, errors as problem+json."""
