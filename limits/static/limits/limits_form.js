// The form of limits: shows the fields of the chosen algorithm, and explains the limit while it is typed. The
// sentence comes from the server, so that it is the same as on every other page.
(() => {
  const FIELDS = ["quota", "window_0", "window_1", "algorithm", "burst", "period", "timezone"];
  const BELONGS = {
    window_0: (algorithm) => algorithm !== "calendar",
    window_1: (algorithm) => algorithm !== "calendar",
    burst: (algorithm) => algorithm === "token_bucket",
    period: (algorithm) => algorithm === "calendar",
    timezone: (algorithm) => algorithm === "calendar",
  };
  const WINDOW_LABELS = { concurrency: "Longest duration" };
  const WAIT = 150;

  function fieldsOf(quota) {
    const prefix = quota.name.slice(0, -"quota".length);
    const found = FIELDS.map((name) => [name, quota.form.elements[prefix + name]]);
    return Object.fromEntries(found.filter(([, element]) => element));
  }

  function showWhatBelongs(fields) {
    for (const [name, belongs] of Object.entries(BELONGS)) {
      const element = fields[name];
      if (!element) continue;
      const shown = belongs(fields.algorithm.value);
      // A hidden field is not submitted, and keeps the text that was typed.
      element.disabled = !shown;
      (element.closest(".field-line") ?? element).hidden = !shown;
    }
  }

  function labelWindow(fields) {
    const words = WINDOW_LABELS[fields.algorithm.value] ?? "Window";
    fields.window_0.closest(".field-line").querySelector("label").firstChild.textContent = words;
    fields.window_0.setAttribute("aria-label", `${words}: number`);
    fields.window_1.setAttribute("aria-label", `${words}: unit`);
  }

  function addSentence(quota) {
    const frame = document.createElement("div");
    frame.className = "rl rl-meaning";
    frame.innerHTML = '<p class="rl-note" aria-live="polite"></p>';
    quota.closest("fieldset").append(frame);
    return frame.firstElementChild;
  }

  async function say(fields, sentence) {
    const query = new URLSearchParams();
    for (const [name, element] of Object.entries(fields)) {
      if (!element.disabled && element.value !== "") query.set(name, element.value);
    }
    sentence.parentElement.hidden = !query.has("quota");
    if (!query.has("quota")) return;
    const answer = await fetch(`${sentence.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const said = await answer.json();
    sentence.classList.toggle("rl-note--warning", Boolean(said.problem));
    sentence.textContent = said.problem ?? `${said.sentence} ${said.meaning}`;
  }

  let suggested;

  // All fields of the page share one list, filled when the first of them gets the focus.
  async function suggestTimeZones(input) {
    if (suggested) return;
    suggested = document.createElement("datalist");
    suggested.id = input.getAttribute("list");
    document.body.append(suggested);
    const answer = await fetch(input.dataset.suggestionsUrl, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    suggested.append(...(await answer.json()).names.map((name) => new Option(name, name)));
  }

  function prepare(quota) {
    if (quota.name.includes("__prefix__") || quota.dataset.prepared) return;
    quota.dataset.prepared = "yes";
    const fields = fieldsOf(quota);
    const sentence = addSentence(quota);
    sentence.dataset.url = quota.dataset.sentenceUrl;
    let timer;
    const changed = () => {
      showWhatBelongs(fields);
      labelWindow(fields);
      clearTimeout(timer);
      timer = setTimeout(() => say(fields, sentence), WAIT);
    };
    for (const element of Object.values(fields)) {
      element.addEventListener("input", changed);
      element.addEventListener("change", changed);
    }
    fields.timezone?.addEventListener("focus", () => suggestTimeZones(fields.timezone));
    showWhatBelongs(fields);
    labelWindow(fields);
    say(fields, sentence);
  }

  const prepareAll = () => document.querySelectorAll('input[name$="-quota"]').forEach(prepare);
  document.addEventListener("DOMContentLoaded", prepareAll);
  document.addEventListener("formset:added", prepareAll);
})();
