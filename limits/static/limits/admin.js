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

// A slug is proposed from the name while it is typed, until the slug itself is edited. (Django's own script does this
// on the pages of models.)
function slugOf(name) {
  const plain = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64).replace(/-+$/, "");
}
document.addEventListener("DOMContentLoaded", () => {
  for (const slug of document.querySelectorAll("input[data-proposed-from]")) {
    const name = document.getElementById(slug.dataset.proposedFrom);
    let edited = slug.value !== "";
    slug.addEventListener("input", () => (edited = slug.value !== ""));
    name?.addEventListener("input", () => {
      if (!edited) slug.value = slugOf(name.value);
    });
  }
});
