// The form of an alert rule: shows the fields that the metric uses, and the rule as a sentence. The sentence comes from
// the server, as do the errors, which are those of saving.
(() => {
  const WAIT = 200;

  function addSentence(form) {
    const frame = document.createElement("div");
    frame.className = "rl rl-rule";
    frame.hidden = true;
    frame.innerHTML = '<p class="rl-note" aria-live="polite"></p>';
    form.querySelector("fieldset").before(frame);
    return frame.firstElementChild;
  }

  function showUsedFields(form, metric, unused) {
    const hidden = unused[metric.value] ?? [];
    for (const name of new Set(Object.values(unused).flat())) {
      const element = form.elements[name] ?? form.elements[`${name}_0`];
      if (!element) continue;
      // A hidden field is not submitted, and keeps the text that was typed.
      element.disabled = hidden.includes(name);
      (element.closest(".field-line") ?? element).hidden = element.disabled;
    }
    for (const fieldset of form.querySelectorAll("fieldset")) {
      const lines = [...fieldset.querySelectorAll(".field-line")];
      fieldset.hidden = lines.length > 0 && lines.every((line) => line.hidden);
    }
  }

  async function ask(form, url, signal) {
    const headers = { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(url, { method: "POST", body: new URLSearchParams(new FormData(form)), headers, signal });
    return answer.ok ? answer.json() : null;
  }

  function isStarted(form) {
    const { threshold, emails, webhooks } = form.elements;
    const chosen = form.querySelector("[name=channels]:checked");
    return (threshold.disabled || threshold.value) && (emails.value || webhooks.value || chosen);
  }

  function show(sentence, said) {
    sentence.parentElement.hidden = !said;
    sentence.classList.toggle("rl-note--warning", Boolean(said?.problem));
    sentence.textContent = said ? (said.problem ?? said.sentence) : "";
  }

  function prepare(metric) {
    const { form } = metric;
    const unused = JSON.parse(metric.dataset.unusedFields);
    const sentence = addSentence(form);
    let timer, asking;
    const say = async () => {
      asking?.abort();
      asking = new AbortController();
      const { signal } = asking;
      const said = isStarted(form) ? await ask(form, metric.dataset.sentenceUrl, signal).catch(() => null) : null;
      // An earlier answer must not replace a later one.
      if (!signal.aborted) show(sentence, said);
    };
    const changed = () => {
      showUsedFields(form, metric, unused);
      clearTimeout(timer);
      timer = setTimeout(say, WAIT);
    };
    form.addEventListener("input", changed);
    form.addEventListener("change", changed);
    // Select2 tells only jQuery.
    window.django?.jQuery?.(form).on("change", changed);
    showUsedFields(form, metric, unused);
    say();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const metric = document.querySelector("select[name=metric][data-sentence-url]");
    if (metric) prepare(metric);
  });
})();
