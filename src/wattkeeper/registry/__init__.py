"""Master data (档案): sites, areas, links, meters, metering points, installations, customers and accounts."""
