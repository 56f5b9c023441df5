"""Small mistakes, made on purpose: ``make mutants`` says which ones no test notices."""
