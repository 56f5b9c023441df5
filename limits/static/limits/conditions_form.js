// The form of a policy: describes what is counted separately, and the conditions, while they are typed.
(() => {
  const FIELDS = ["partition", "attributes", "match"];

  function prepare(match) {
    const { elements } = match.form;
    const changed = window.liveSentence(match.form, {
      className: "rl rl-conditions",
      place: (frame) => match.closest("fieldset > div").append(frame),
      url: match.dataset.sentenceUrl,
      typed: () => new URLSearchParams(FIELDS.map((name) => [name, elements[name]?.value ?? ""])),
      wait: 150,
    });
    for (const name of FIELDS) {
      elements[name]?.addEventListener("input", changed);
      elements[name]?.addEventListener("change", changed);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const match = document.querySelector("textarea[name=match][data-sentence-url]");
    if (match) prepare(match);
  });
})();
