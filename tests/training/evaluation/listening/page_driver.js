"use strict";
// What a listener does on the page, by keys and clicks; a browser runs it after page.js. In the end
// it posts what was seen, as JSON, to the address that stands for REPORT.

document.addEventListener("DOMContentLoaded", async () => {
  const seen = { titles: [], refused: [], reminders: [] };
  const el = (id) => document.getElementById(id);
  const key = (name) => (document.activeElement || document.body).dispatchEvent(
    new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
  const until = async (condition) => {
    for (let i = 0; !condition(); i++) {
      if (i > 4000) throw new Error(`waited in vain: ${condition}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  };
  window.addEventListener("error", (event) => { seen.error = event.message; });
  try {
    seen.count = el("count").textContent;
    el("listener").value = "Driver";
    el("begin").requestSubmit();
    for (let trial = 0; el("end").hidden; trial++) {
      await until(() => el("status").textContent === "" && el("title").textContent !== seen.last);
      seen.last = el("title").textContent;
      seen.titles.push(seen.last);
      const rows = [...el("stimuli").children];
      key("n");
      seen.refused.push(el("status").textContent);
      key(" ");
      await until(() => el("position").value > 0); // it plays
      const pressed = el("play").textContent;
      key(" ");
      seen.toggled = [pressed, el("play").textContent];
      rows.forEach((row, i) => {
        key("ABCDEF"[i]);
        if (document.activeElement !== row.querySelector("input")) throw new Error("no focus");
        document.activeElement.value = 10 * i;
        document.activeElement.dispatchEvent(new Event("input"));
      });
      seen.reminders.push(el("status").textContent);
      seen.words = rows.map((row) => row.querySelector("output").textContent);
      key("ArrowRight"); // from the last to the reference
      seen.reference = el("reference").getAttribute("aria-pressed");
      if (trial === 1) {
        key("p");
        await until(() => el("title").textContent === seen.titles[0]);
        await until(() => el("status").textContent === "");
        key("Enter");
        await until(() => el("title").textContent === seen.last && el("status").textContent === "");
      }
      key("Enter");
    }
    seen.answer = JSON.parse(el("answer").value);
    seen.file = el("save").download;
    seen.saved = await (await fetch(el("save").href)).text() === el("answer").value;
  } catch (error) {
    seen.error = String(error.stack || error);
  }
  fetch("REPORT", { method: "POST", mode: "no-cors", body: JSON.stringify(seen) });
});
