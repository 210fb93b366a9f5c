"""The words that everybody uses: names in the cluster, reasons, durations, dates."""
