"""What is kept between runs: results of notebooks, records of reports, the folder a report is made in."""
