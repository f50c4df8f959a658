# Times R packages on the panel of bench.py: Rscript bench.R panel.csv repetitions seconds
# Prints one JSON object a line: library, task, and median CPU seconds after a warm-up (all threads), or why there are none.
# A task that needs more CPU seconds than allowed is stopped.
arguments <- commandArgs(trailingOnly = TRUE)
panel <- read.csv(arguments[1])
repetitions <- as.integer(arguments[2])
allowed <- as.numeric(arguments[3])
panel$g <- ifelse(is.na(panel$cohort), 0, panel$cohort)
panel$far <- ifelse(is.na(panel$cohort), 10000, panel$cohort)
panel$treated <- as.integer(!is.na(panel$cohort) & panel$period >= panel$cohort)
panel$relative <- ifelse(is.na(panel$cohort), -1000, panel$period - panel$cohort)

seconds_of <- function(run) {
  sum(system.time(run())[c("user.self", "sys.self")])
}

tell <- function(library, task, run) {
  found <- tryCatch({
    setTimeLimit(cpu = allowed, transient = TRUE)
    first <- seconds_of(run)
    times <- if (first < 5) replicate(max(1, min(repetitions, floor(5 / max(first, 1e-6)))), seconds_of(run)) else first
    sprintf('"cpu_seconds": %.6f, "runs": %d', median(times), length(times))
  }, error = function(problem) {
    sprintf('"failed": "%s"', gsub("[^A-Za-z0-9 .,:()%-]", " ", substr(conditionMessage(problem), 1, 160)))
  })
  setTimeLimit()
  cat(sprintf('{"library": "%s", "task": "%s", %s}\n', library, task, found))
}

has <- function(package) requireNamespace(package, quietly = TRUE)

if (has("fixest")) {
  library(fixest)
  setFixest_nthreads(1)
  tell("R fixest", "two-way fixed effects", function() feols(y ~ treated | unit + period, panel, cluster = ~unit))
  tell("R fixest", "event study",
       function() feols(y ~ i(relative, ref = c(-1, -1000)) | unit + period, panel, cluster = ~unit))
  tell("R fixest", "Sun-Abraham", function() {
    summary(feols(y ~ sunab(far, period) | unit + period, panel, cluster = ~unit), agg = "period")
  })
}
if (has("did")) {
  santanna <- function(task, formula, group, method) {
    tell("R did", task, function() {
      cells <- did::att_gt(yname = "y", tname = "period", idname = "unit", gname = "g", xformla = formula, data = panel,
                           panel = TRUE, control_group = group, est_method = method, base_period = "varying",
                           bstrap = FALSE, cband = FALSE)
      did::aggte(cells, type = "dynamic", bstrap = FALSE, cband = FALSE)
    })
  }
  santanna("Callaway-Sant'Anna", ~1, "nevertreated", "reg")
  santanna("Callaway-Sant'Anna, regression", ~x, "nevertreated", "reg")
  santanna("Callaway-Sant'Anna, doubly robust", ~x, "nevertreated", "dr")
  santanna("Callaway-Sant'Anna, doubly robust, not yet treated", ~x, "notyettreated", "dr")
}
if (has("etwfe")) {
  tell("R etwfe", "extended two-way fixed effects, linear", function() {
    model <- etwfe::etwfe(fml = y ~ 0, tvar = period, gvar = g, data = panel, vcov = ~unit, cgroup = "notyet")
    etwfe::emfx(model, type = "event")
  })
}
if (has("didimputation")) {
  tell("R didimputation", "imputation, all horizons", function() {
    didimputation::did_imputation(data = panel, yname = "y", gname = "g", tname = "period", idname = "unit", horizon = TRUE)
  })
}
if (has("bacondecomp")) {
  tell("R bacondecomp", "Goodman-Bacon decomposition", function() {
    bacondecomp::bacon(y ~ treated, data = panel, id_var = "unit", time_var = "period", quietly = TRUE)
  })
}
if (has("staggered")) {
  untreated <- transform(panel, first = ifelse(is.na(cohort), Inf, cohort))
  horizon <- max(panel$period) - min(panel$cohort, na.rm = TRUE)
  tell("R staggered", "efficient", function() {
    staggered::staggered(df = untreated, i = "unit", t = "period", g = "first", y = "y", estimand = "eventstudy",
                         eventTime = 0:horizon)
  })
}
