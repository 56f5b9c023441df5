// Runs right after htmx: neither styles written into the page, nor strings evaluated.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;

// Select2 draws a list of its own over a select and forgets the name of it.
function nameLists() {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const drawn = select.nextElementSibling?.querySelectorAll("[role=combobox], [role=textbox]") ?? [];
    for (const element of drawn) element.ariaLabel ??= label?.textContent.trim() || select.name;
  }
}
new MutationObserver(nameLists).observe(document, { childList: true, subtree: true });

// A form that was refused: the list of its errors comes first, also for a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  const first = document.querySelector("#error-summary, .rl-field--wrong :is(input, select, textarea)");
  first?.focus();
});
