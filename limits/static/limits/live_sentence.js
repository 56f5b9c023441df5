// Describes what is being typed in a form. The sentence comes from the server, as do the errors, which are those of
// saving.
//
// className: of the frame of the sentence; place: puts the frame into the page; url: answers {sentence} or {problem};
// typed: returns what is sent (URLSearchParams), or null while there is nothing to describe.
// Returns a function to call after each change.
window.liveSentence = (form, { className, place, url, typed, wait }) => {
  const frame = document.createElement("div");
  frame.className = className;
  frame.hidden = true;
  frame.innerHTML = '<p class="rl-note" aria-live="polite"></p>';
  place(frame);
  const sentence = frame.firstElementChild;
  let timer, asking;

  async function ask(body, signal) {
    const headers = { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(url, { method: "POST", body, headers, signal });
    return answer.ok ? answer.json() : null;
  }

  function show(said) {
    frame.hidden = !said;
    sentence.classList.toggle("rl-note--warning", Boolean(said?.problem));
    sentence.textContent = said ? (said.problem ?? said.sentence) : "";
  }

  async function say() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const body = typed();
    const said = body ? await ask(body, signal).catch(() => null) : null;
    // An earlier answer must not replace a later one.
    if (!signal.aborted) show(said);
  }

  say();
  return () => {
    clearTimeout(timer);
    timer = setTimeout(say, wait);
  };
};
