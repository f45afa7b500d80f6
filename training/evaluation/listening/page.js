"use strict";
// The page of a blind listening test: sliders, keys, what comes after what.

function $(id) { return document.getElementById(id); }

function show(view) {
  for (const each of document.querySelectorAll("main > section")) each.hidden = each.id !== view;
  $(view).querySelector("h1").focus();
}

function startPage(test) {
  const place = `tudor-listening-${test.id}`;
  let session = null, deck = null, picked = -1, since = 0, ready = false, told = false;
  const sounds = new Map(); // index of a trial -> promise of its decoded buffers

  // Where a browser keeps nothing, a reload begins anew.
  const store = () => { try { localStorage.setItem(place, JSON.stringify(session)); } catch {} };
  const stored = () => { try { return JSON.parse(localStorage.getItem(place)); } catch { return null; } };
  const trial = () => session.trials[session.at];
  const nameOf = (index) => (index < 0 ? trial().reference : trial().stimuli[index]);

  function begin(found) {
    session = found;
    const Context = window.AudioContext || window.webkitAudioContext;
    deck ??= new Deck(new Context());
    sounds.clear();
    enter();
  }

  function soundsOf(index) {
    if (!sounds.has(index)) {
      const { reference, stimuli } = session.trials[index];
      sounds.set(index, Promise.all([reference, ...stimuli].map(async (name) => [
        name, await deck.context.decodeAudioData(await wavOf(name))])).then((all) => new Map(all)));
      for (const old of sounds.keys()) if (Math.abs(old - index) > 1) sounds.delete(old);
    }
    return sounds.get(index);
  }

  async function enter() {
    store();
    deck.stop();
    if (session.at >= session.trials.length) return finish();
    const at = session.at, practice = trial().practice;
    ready = told = false;
    picked = -1;
    $("title").textContent = practice ? "Practice"
      : `Sound ${at} of ${session.trials.length - 1}`;
    $("practice").hidden = !practice;
    $("previous").disabled = at === 0;
    $("next").textContent = at + 1 === session.trials.length ? "Finish" : "Next";
    rows();
    show("trial");
    say("Loading ...");
    try {
      const buffers = await soundsOf(at);
      if (session.at !== at) return;
      deck.load(buffers);
    } catch (error) {
      sounds.delete(at);
      return say(`The sounds cannot be loaded (${error.message}). Reload the page to try again.`);
    }
    ready = true;
    since = performance.now();
    mark();
    say("");
    if (at + 1 < session.trials.length) soundsOf(at + 1).catch(() => sounds.delete(at + 1));
  }

  function rows() {
    $("stimuli").replaceChildren(...trial().stimuli.map((name, index) => {
      const row = $("row").content.firstElementChild.cloneNode(true);
      const [button, slider] = [row.querySelector("button"), row.querySelector("input")];
      button.textContent = LETTERS[index];
      button.onclick = () => hear(index);
      slider.setAttribute("aria-label", `rating of ${LETTERS[index]}`);
      const write = () => {
        const rating = trial().ratings[name];
        row.classList.toggle("unrated", rating === undefined);
        row.querySelector("output").textContent = rating === undefined ? "not rated"
          : `${rating} ${wordOf(rating)}`;
        slider.value = rating ?? 50;
        slider.setAttribute("aria-valuetext", rating === undefined ? "not rated"
          : `${rating}, ${wordOf(rating)}`);
      };
      slider.oninput = () => {
        trial().ratings[name] = Number(slider.value);
        write();
        store();
        remind();
      };
      slider.onclick = slider.oninput; // a click on the middle moves nothing, and means it
      write();
      return row;
    }));
    mark();
  }

  function count() {
    trial().plays[nameOf(picked)] = (trial().plays[nameOf(picked)] || 0) + 1;
    store();
    remind();
  }

  /** Pick what is heard (-1: the reference), and play. */
  function hear(index) {
    if (!ready) return;
    const again = deck.playing && index === picked;
    picked = index;
    deck.pick(nameOf(index));
    deck.play();
    if (!again) count();
    mark();
    if (index >= 0) $("stimuli").children[index].querySelector("input").focus();
    else $("title").focus({ preventScroll: true }); // it has no slider, and Enter means "next"
  }

  function toggle() {
    if (!ready) return;
    if (deck.playing) deck.stop();
    else return hear(picked);
    mark();
  }

  function mark() {
    const playing = Boolean(deck?.playing);
    $("play").textContent = playing ? "Stop" : "Play";
    $("reference").classList.toggle("picked", picked < 0);
    $("reference").setAttribute("aria-pressed", picked < 0);
    [...$("stimuli").children].forEach((row, index) => {
      row.classList.toggle("picked", index === picked);
      row.querySelector("button").setAttribute("aria-pressed", index === picked);
    });
  }

  function step(by) {
    told = by > 0 && leftToDo(trial()) !== "";
    remind();
    if (told || session.at + by < 0) return;
    spend();
    session.at += by;
    enter();
  }

  function finish() {
    const text = JSON.stringify(answerOf(session), null, 1);
    $("answer").value = text;
    $("save").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    $("save").download = fileNameOf(session);
    show("end");
  }

  /** What is left to do, once it was asked for in vain. */
  function remind() { if (told) say(leftToDo(trial())); }

  function spend() {
    if (ready) trial().seconds += (performance.now() - since) / 1000;
    since = performance.now();
  }

  function say(text) { $("status").textContent = text; }

  function keys(event) {
    if ($("trial").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target.closest("button")) return; // the button's own
    const meant = meaningOf(event.key, trial().stimuli.length, picked);
    if (!meant) return;
    event.preventDefault();
    if (event.type === "keyup") return; // a button would act on it
    if (meant.toggle && !event.repeat) toggle();
    else if (meant.pick !== undefined) hear(meant.pick);
    else if (meant.step && !event.repeat) step(meant.step);
  }

  function draw() {
    if (deck?.duration) $("position").value = deck.position / deck.duration;
    requestAnimationFrame(draw);
  }

  const kept = stored();
  $("resume").hidden = !resumable(test, kept);
  $("resume").onclick = () => begin(kept);
  $("count").textContent = test.trials.length;
  $("begin").onsubmit = (event) => {
    event.preventDefault();
    const seed = seedAsked(location.search) ?? crypto.getRandomValues(new Uint32Array(1))[0] % 1e9;
    begin(newSession(test, $("listener").value, seed));
  };
  $("play").onclick = toggle;
  $("reference").onclick = () => hear(-1);
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("position").onclick = (event) => {
    const box = $("position").getBoundingClientRect();
    if (ready) deck.seek(deck.duration * (event.clientX - box.left) / box.width);
  };
  $("back").onclick = () => {
    session.at -= 1;
    enter();
  };
  document.addEventListener("keydown", keys);
  document.addEventListener("keyup", keys);
  window.addEventListener("pagehide", () => {
    if (session && session.at < session.trials.length) spend();
    if (session) store();
  });
  requestAnimationFrame(draw);
}

document.addEventListener("DOMContentLoaded",
  () => startPage(JSON.parse($("test").textContent)));
