"use strict";
// What node checks of the listening test's page: node page_checks.js listening.js
const assert = require("node:assert/strict");
const page = require(process.argv[2]);

const trial = (id, stimuli) => ({ id, reference: `${id}r`, stimuli });
const names = ["a", "b", "c", "d", "e", "f"];
const test = { id: "page", practice: trial("p", names),
  trials: Array.from({ length: 8 }, (_, i) => trial(`t${i}`, names.map((n) => n + i))) };

const checks = {
  "the generator is mulberry32"() {
    // Its published definition, in whole numbers of any size.
    const mask = 0xffffffffn;
    let state = 12345n;
    const next = page.randomFrom(12345);
    for (let i = 0; i < 100; i++) {
      state = (state + 0x6d2b79f5n) & mask;
      let t = state;
      t = ((t ^ (t >> 15n)) * (t | 1n)) & mask;
      t = t ^ ((t + (((t ^ (t >> 7n)) * (t | 61n)) & mask)) & mask);
      assert.equal(next(), Number(t ^ (t >> 14n)) / 4294967296);
    }
  },
  "an order is a permutation, and each comes equally often"() {
    const counts = new Map();
    const random = page.randomFrom(1);
    for (let i = 0; i < 6000; i++) {
      const found = page.shuffled(["x", "y", "z"], random).join("");
      counts.set(found, (counts.get(found) || 0) + 1);
    }
    assert.equal(counts.size, 6);
    for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 150, String(count));
  },
  "the same seed gives the same plan, another another; practice is first"() {
    const plan = page.planOf(test, 3);
    assert.deepEqual(plan, page.planOf(test, 3));
    assert.notDeepEqual(plan, page.planOf(test, 4));
    assert.deepEqual(plan.map((t) => t.practice), [true, ...Array(8).fill(false)]);
    assert.deepEqual(plan.map((t) => t.id).sort(), ["p", ...test.trials.map((t) => t.id)].sort());
    assert.notDeepEqual(plan.slice(1).map((t) => t.id), test.trials.map((t) => t.id));
    for (const each of plan.slice(1)) {
      const given = test.trials.find((t) => t.id === each.id);
      assert.deepEqual([...each.stimuli].sort(), given.stimuli);
      assert.equal(each.reference, given.reference);
    }
    const letters = plan.slice(1).map((t) => t.stimuli.map((n) => n[0]).join(""));
    assert.ok(new Set(letters).size > 4); // shuffled in every trial anew
    assert.deepEqual(test.trials[0].stimuli, names.map((n) => `${n}0`)); // what was given stays
  },
  "what is left to do is said in letters"() {
    const each = { ...trial("t", ["x", "y", "z"]), ratings: {}, plays: {} };
    assert.equal(page.leftToDo(each), "Not heard yet: A, B, C.");
    each.plays = { x: 1, y: 2, z: 1 };
    assert.equal(page.leftToDo(each), "Not rated yet: A, B, C.");
    each.ratings = { x: 0, z: 100 };
    assert.equal(page.leftToDo(each), "Not rated yet: B.");
    each.ratings.y = 50;
    assert.equal(page.leftToDo(each), "");
  },
  "words stand where the scale has them"() {
    assert.deepEqual([0, 19, 20, 59, 60, 79, 80, 100].map(page.wordOf), ["bad", "bad", "poor",
      "fair", "good", "good", "excellent", "excellent"]);
  },
  "keys"() {
    const meant = (key, picked = 0) => page.meaningOf(key, 3, picked);
    assert.deepEqual(meant("a"), { pick: 0 });
    assert.deepEqual(meant("C"), { pick: 2 });
    assert.equal(meant("d"), null);
    assert.deepEqual(meant("2"), { pick: 1 });
    assert.equal(meant("4"), null);
    assert.deepEqual(meant("0"), { pick: -1 });
    assert.deepEqual(meant("r"), { pick: -1 });
    assert.deepEqual(meant(" "), { toggle: true });
    assert.deepEqual([-1, 0, 1, 2].map((at) => meant("ArrowRight", at).pick), [0, 1, 2, -1]);
    assert.deepEqual([-1, 0, 1, 2].map((at) => meant("ArrowLeft", at).pick), [2, -1, 0, 1]);
    assert.deepEqual([meant("Enter"), meant("p")], [{ step: 1 }, { step: -1 }]);
    for (const key of ["ArrowUp", "PageDown", "Home", "Tab", "Alt", "Backspace", "", "ab"]) {
      assert.equal(meant(key), null, key);
    }
    // No letter means two things, with as many stimuli as there may be.
    for (const key of ["n", "p", "r"]) assert.equal(page.meaningOf(key, 12, 0).pick ?? -1, -1);
  },
  "the answer has each trial but practice, names and no letters"() {
    const session = page.newSession(test, "  Ännä / x ", 3);
    for (const each of session.trials) {
      each.seconds = 1.6;
      each.stimuli.forEach((name, i) => { each.ratings[name] = 10 * i; each.plays[name] = 2; });
    }
    const answer = JSON.parse(JSON.stringify(page.answerOf(session)));
    assert.deepEqual(Object.keys(answer), ["format", "version", "test", "listener", "seed",
      "trials"]);
    assert.equal(answer.listener, "Ännä / x");
    assert.equal(answer.test, "page");
    assert.equal(answer.trials.length, 8);
    const plan = page.planOf(test, 3).slice(1);
    answer.trials.forEach((row, i) => {
      assert.equal(row.id, plan[i].id);
      assert.deepEqual(row.order, plan[i].stimuli);
      assert.equal(row.ratings[plan[i].stimuli[2]], 20);
      assert.equal(row.plays[plan[i].reference], 0);
      assert.equal(row.seconds, 2);
    });
    assert.equal(page.fileNameOf(session), "listening-A-nna-x-3.json");
    assert.equal(page.newSession(test, " ", 1).listener, "anonymous");
    assert.equal(page.fileNameOf({ listener: "\u4f60", seed: 1 }), "listening-listener-1.json");
  },
  "only an unfinished session of this page is taken up again"() {
    const session = page.newSession(test, "x", 1);
    assert.ok(page.resumable(test, JSON.parse(JSON.stringify(session))));
    assert.ok(!page.resumable(test, null));
    assert.ok(!page.resumable(test, { ...session, test: "other" }));
    assert.ok(!page.resumable(test, { ...session, at: 9 }));
    assert.ok(!page.resumable(test, { ...session, trials: session.trials.slice(1) }));
  },
  "a seed may be asked for"() {
    assert.deepEqual(["?seed=7", "?a=1&seed=0", "", "?seed=-1", "?seed=x", "?seed=99999999999"]
      .map(page.seedAsked), [7, 0, null, null, null, null]);
  },
  "all stimuli run in step, one is heard, changing keeps the place"() {
    const made = [];
    const gain = () => ({ value: 1, calls: [], cancelScheduledValues() {},
      setTargetAtTime(...call) { this.calls.push(call); } });
    const context = { currentTime: 10, destination: {}, resume() {},
      createGain: () => ({ gain: gain(), connect() {} }),
      createBufferSource() {
        const source = { connect: (node) => { source.out = node; return node; },
          start(...at) { source.at = at; }, stop(at) { source.end = at; } };
        made.push(source);
        return source;
      } };
    const deck = new page.Deck(context);
    deck.load(new Map([["a", { duration: 4 }], ["b", { duration: 4 }], ["c", { duration: 4 }]]));
    deck.pick("b");
    deck.play();
    assert.equal(made.length, 3);
    assert.ok(made.every((s) => s.loop && s.loopEnd === 4 && s.at[0] === made[0].at[0]
      && s.at[1] === 0 && s.at[0] >= 10));
    assert.deepEqual(made.map((s) => s.out.gain.value), [0, 1, 0]);
    context.currentTime = made[0].at[0] + 5;
    assert.ok(Math.abs(deck.position - 1) < 1e-9);
    deck.pick("c");
    assert.deepEqual(made.map((s) => s.out.gain.calls.at(-1)[0]), [0, 0, 1]);
    assert.equal(made.length, 3); // nothing began anew
    assert.ok(made.every((s) => s.end === undefined));
    deck.stop();
    assert.ok(made.every((s) => s.end > context.currentTime));
    assert.ok(!deck.playing);
    deck.play();
    assert.equal(made.length, 6);
    assert.ok(Math.abs(made[5].at[1] - 1) < 1e-9); // goes on where it stopped
    deck.seek(3);
    assert.equal(made.length, 9);
    assert.equal(made[8].at[1], 3);
    deck.load(new Map([["d", { duration: 2 }]]));
    assert.ok(!deck.playing && deck.position === 0);
  },
};

for (const [name, check] of Object.entries(checks)) {
  check();
  console.log(name);
}
