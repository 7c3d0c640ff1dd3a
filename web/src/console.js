// The console's islands: charts and live tables.
