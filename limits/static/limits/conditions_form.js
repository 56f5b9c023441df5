// The form of a policy: describes what is counted separately, and the conditions, while they are typed. The sentence
// comes from the server, as do the errors, which are those of saving.
(() => {
  const FIELDS = ["partition", "attributes", "match"];
  const WAIT = 150;

  function addSentence(match) {
    const frame = document.createElement("div");
    frame.className = "rl rl-conditions";
    frame.hidden = true;
    frame.innerHTML = '<p class="rl-note" aria-live="polite"></p>';
    match.closest("fieldset > div").append(frame);
    return frame.firstElementChild;
  }

  async function ask(form, url, signal) {
    const body = new URLSearchParams();
    for (const name of FIELDS) body.set(name, form.elements[name]?.value ?? "");
    const headers = { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(url, { method: "POST", body, headers, signal });
    return answer.ok ? answer.json() : null;
  }

  function show(sentence, said) {
    sentence.parentElement.hidden = !said;
    sentence.classList.toggle("rl-note--warning", Boolean(said?.problem));
    sentence.textContent = said ? (said.problem ?? said.sentence) : "";
  }

  function prepare(match) {
    const sentence = addSentence(match);
    let timer, asking;
    const say = async () => {
      asking?.abort();
      asking = new AbortController();
      const { signal } = asking;
      const said = await ask(match.form, match.dataset.sentenceUrl, signal).catch(() => null);
      // An earlier answer must not replace a later one.
      if (!signal.aborted) show(sentence, said);
    };
    const changed = () => {
      clearTimeout(timer);
      timer = setTimeout(say, WAIT);
    };
    for (const name of FIELDS) {
      match.form.elements[name]?.addEventListener("input", changed);
      match.form.elements[name]?.addEventListener("change", changed);
    }
    say();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const match = document.querySelector("textarea[name=match][data-sentence-url]");
    if (match) prepare(match);
  });
})();
