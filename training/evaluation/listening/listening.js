"use strict";
// A blind listening test: orders, ratings, the answer, and sounds that play in step. Nothing here
// knows the page (page.js), so that node can test it.

const LETTERS = "ABCDEFGHIJKL";
const WORDS = ["bad", "poor", "fair", "good", "excellent"];

// --- the test ------------------------------------------------------------------------------------

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(list, random) {
  const found = [...list];
  for (let i = found.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
}

/** The trials in a listener's order, practice first; stimuli in the order of their letters. */
function planOf(test, seed) {
  const random = randomFrom(seed);
  return [{ ...test.practice, practice: true }, ...shuffled(test.trials, random)].map((trial) => ({
    id: trial.id, reference: trial.reference, practice: trial.practice === true,
    stimuli: shuffled(trial.stimuli, random),
  }));
}

function newSession(test, listener, seed) {
  const trials = planOf(test, seed).map((trial) => ({
    ...trial, seconds: 0, ratings: {}, plays: {},
  }));
  return { test: test.id, listener: listener.trim() || "anonymous", seed, at: 0, trials };
}

/** Whether what was stored belongs to this page and is not finished. */
function resumable(test, session) {
  return Boolean(session) && session.test === test.id && Array.isArray(session.trials)
    && session.trials.length === test.trials.length + 1 && session.at < session.trials.length;
}

/** The word on the scale for a rating from 0 to 100. */
function wordOf(rating) {
  return WORDS[Math.min(4, Math.floor(rating / 20))];
}

/** What is left to do in a trial; "" when it is done. */
function leftToDo(trial) {
  const letters = (open) => trial.stimuli.map((name, i) => (open(name) ? LETTERS[i] : ""))
    .filter(Boolean).join(", ");
  const unheard = letters((name) => !trial.plays[name]);
  const unrated = letters((name) => trial.ratings[name] === undefined);
  if (unheard) return `Not heard yet: ${unheard}.`;
  return unrated ? `Not rated yet: ${unrated}.` : "";
}

/** What a key means, for `count` stimuli of which `picked` is heard (-1: the reference). */
function meaningOf(key, count, picked) {
  const named = LETTERS.slice(0, count).indexOf(key.toUpperCase());
  if (key.length === 1 && named >= 0) return { pick: named };
  if (/^[1-9]$/.test(key) && Number(key) <= count) return { pick: Number(key) - 1 };
  if (key === "0" || key === "r" || key === "R") return { pick: -1 };
  if (key === " ") return { toggle: true };
  if (key === "ArrowRight") return { pick: picked + 1 < count ? picked + 1 : -1 };
  if (key === "ArrowLeft") return { pick: picked >= 0 ? picked - 1 : count - 1 };
  if (key === "Enter" || key === "n" || key === "N") return { step: 1 };
  if (key === "p" || key === "P") return { step: -1 };
  return null;
}

/** The file that a listener sends. Practice is left out. */
function answerOf(session) {
  return {
    format: "tudor listening answer", version: 1, test: session.test,
    listener: session.listener, seed: session.seed,
    trials: session.trials.filter((trial) => !trial.practice).map((trial) => ({
      id: trial.id, order: trial.stimuli, ratings: trial.ratings,
      plays: Object.fromEntries([...trial.stimuli, trial.reference].map(
        (name) => [name, trial.plays[name] || 0])),
      seconds: Math.round(trial.seconds),
    })),
  };
}

function fileNameOf(session) {
  const name = session.listener.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "").slice(0, 30) || "listener";
  return `listening-${name}-${session.seed}.json`;
}

/** A seed that was asked for (?seed=7), or null. */
function seedAsked(query) {
  const text = new URLSearchParams(query).get("seed");
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

// --- sounds --------------------------------------------------------------------------------------

/** All stimuli of a trial run in step, one of them is heard: changing it is seamless. */
class Deck {
  constructor(context) {
    this.context = context;
    this.voices = new Map();
    this.offset = 0; // seconds, while stopped
    this.started = null; // on the context's clock
    this.heard = null;
  }

  load(buffers) {
    this.stop();
    this.buffers = buffers;
    this.offset = 0;
    this.duration = Math.min(...[...buffers.values()].map((buffer) => buffer.duration));
  }

  get playing() { return this.started !== null; }

  get position() {
    if (!this.playing) return this.offset;
    return (this.offset + Math.max(0, this.context.currentTime - this.started)) % this.duration;
  }

  play() {
    if (this.playing || !this.buffers) return;
    this.context.resume();
    const at = this.context.currentTime + 0.03; // all are ready by then
    for (const [name, buffer] of this.buffers) {
      const source = this.context.createBufferSource();
      const gain = this.context.createGain();
      source.buffer = buffer;
      source.loop = true;
      source.loopEnd = this.duration;
      gain.gain.value = name === this.heard ? 1 : 0;
      source.connect(gain).connect(this.context.destination);
      source.start(at, this.offset);
      this.voices.set(name, { source, gain });
    }
    this.started = at;
  }

  stop() {
    if (!this.playing) return;
    this.offset = this.position;
    this.started = null;
    const now = this.context.currentTime;
    for (const { source, gain } of this.voices.values()) {
      gain.gain.setTargetAtTime(0, now, 0.003);
      source.stop(now + 0.03);
    }
    this.voices.clear();
  }

  pick(name) {
    this.heard = name;
    const now = this.context.currentTime;
    for (const [each, { gain }] of this.voices) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(each === name ? 1 : 0, now, 0.004);
    }
  }

  seek(seconds) {
    const was = this.playing;
    this.stop();
    this.offset = seconds % this.duration;
    if (was) this.play();
  }
}

const expected = new Map(); // names of sounds that scripts will bring

/** Called by sounds/NAME.js. */
function listeningSound(name, base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  expected.get(name)?.(bytes.buffer);
  expected.delete(name);
}

/** A stimulus's WAV file. Opened from the disk a page may not read files, but it may run scripts. */
async function wavOf(name) {
  if (location.protocol !== "file:") {
    const answer = await fetch(`sounds/${name}.wav`);
    if (!answer.ok) throw new Error(`sounds/${name}.wav: ${answer.status}`);
    return answer.arrayBuffer();
  }
  return new Promise((done, failed) => {
    expected.set(name, done);
    const script = document.createElement("script");
    script.src = `sounds/${name}.js`;
    script.onload = () => script.remove();
    script.onerror = () => failed(new Error(`sounds/${name}.js is missing`));
    document.head.append(script);
  });
}

if (typeof module !== "undefined") {
  module.exports = { randomFrom, shuffled, planOf, newSession, resumable, wordOf, leftToDo,
    meaningOf, answerOf, fileNameOf, seedAsked, Deck };
}
