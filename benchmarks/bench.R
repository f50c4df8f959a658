# Times fixest and did on the panel of bench.py: Rscript bench.R panel.csv repetitions
# Prints one JSON object a line: library, task, median CPU seconds (all threads).
arguments <- commandArgs(trailingOnly = TRUE)
panel <- read.csv(arguments[1])
repetitions <- as.integer(arguments[2])
panel$g <- ifelse(is.na(panel$cohort), 0, panel$cohort)
panel$far <- ifelse(is.na(panel$cohort), 10000, panel$cohort)
panel$treated <- as.integer(!is.na(panel$cohort) & panel$period >= panel$cohort)
panel$relative <- ifelse(is.na(panel$cohort), -1000, panel$period - panel$cohort)

tell <- function(library, task, run) {
  run()
  seconds <- replicate(repetitions, sum(system.time(run())[c("user.self", "sys.self")]))
  cat(sprintf('{"library": "%s", "task": "%s", "cpu_seconds": %.6f}\n', library, task, median(seconds)))
}

if (requireNamespace("fixest", quietly = TRUE)) {
  library(fixest)
  tell("R fixest", "two-way fixed effects", function() summary(feols(y ~ treated | unit + period, panel), cluster = ~unit))
  tell("R fixest", "event study",
       function() summary(feols(y ~ i(relative, ref = c(-1, -1000)) | unit + period, panel), cluster = ~unit))
  if (nrow(panel) < 1e6) {
    tell("R fixest", "Sun-Abraham", function() summary(feols(y ~ sunab(far, period) | unit + period, panel), cluster = ~unit))
  }
}
if (requireNamespace("did", quietly = TRUE)) {
  santanna <- function(task, formula, group, method) {
    tell("R did", task, function() {
      cells <- did::att_gt("y", "period", "unit", "g", xformla = formula, data = panel, control_group = group,
                           est_method = method, bstrap = FALSE, cband = FALSE)
      did::aggte(cells, type = "dynamic", bstrap = FALSE, cband = FALSE)
    })
  }
  santanna("Callaway-Sant'Anna", ~1, "nevertreated", "reg")
  santanna("Callaway-Sant'Anna, regression", ~x, "nevertreated", "reg")
  santanna("Callaway-Sant'Anna, doubly robust", ~x, "nevertreated", "dr")
  santanna("Callaway-Sant'Anna, doubly robust, not yet treated", ~x, "notyettreated", "dr")
}
