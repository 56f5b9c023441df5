// Runs right after htmx: neither styles written into the page, nor strings evaluated.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
