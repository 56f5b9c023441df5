// The form of an alert rule: shows the fields that the metric uses, and the rule as a sentence.
(() => {
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

  function isStarted(form) {
    const { threshold, emails, webhooks } = form.elements;
    const chosen = form.querySelector("[name=channels]:checked");
    return (threshold.disabled || threshold.value) && (emails.value || webhooks.value || chosen);
  }

  function prepare(metric) {
    const { form } = metric;
    const unused = JSON.parse(metric.dataset.unusedFields);
    showUsedFields(form, metric, unused);
    const say = window.liveSentence(form, {
      className: "rl rl-rule",
      place: (frame) => form.querySelector("fieldset").before(frame),
      url: metric.dataset.sentenceUrl,
      typed: () => (isStarted(form) ? new URLSearchParams(new FormData(form)) : null),
      wait: 200,
    });
    const changed = () => {
      showUsedFields(form, metric, unused);
      say();
    };
    form.addEventListener("input", changed);
    form.addEventListener("change", changed);
    // Select2 tells only jQuery.
    window.django?.jQuery?.(form).on("change", changed);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const metric = document.querySelector("select[name=metric][data-sentence-url]");
    if (metric) prepare(metric);
  });
})();
