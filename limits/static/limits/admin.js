// Runs right after htmx: disables inline styles and the evaluation of strings.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;

// Select2 covers a select with its own list, and loses the label of the select.
function nameLists() {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const drawn = select.nextElementSibling?.querySelectorAll("[role=combobox], [role=textbox]") ?? [];
    for (const element of drawn) element.ariaLabel ??= label?.textContent.trim() || select.name;
  }
}
new MutationObserver(nameLists).observe(document, { childList: true, subtree: true });

// A form with errors: the list of errors comes first, also for screen readers.
document.addEventListener("DOMContentLoaded", () => {
  const first = document.querySelector("#error-summary, .rl-field--wrong :is(input, select, textarea)");
  first?.focus();
});
