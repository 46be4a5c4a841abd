// The page of `semtune label`: shows one frame after the other, and sends each score before it goes on.
"use strict";

const at = (id) => document.getElementById(id);
const stage = at("stage"), frame = at("frame"), entry = at("score");
let low = 0, high = 10, rater = "", state = null, busy = false;
let zoom = null; // null: the whole frame; else screen pixels a frame pixel

function say(text, refused = false) {
  at("said").textContent = text;
  at("said").classList.toggle("refused", refused);
}

async function ask(path, question) {
  const options = question && {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The program does not answer. Every saved score is kept: start `semtune label` again " +
      "and open the address that it prints.");
  }
  const facts = await answer.json().catch(() => ({ refused: `the program answered ${answer.status}` }));
  if (!answer.ok) throw new Error(facts.refused);
  return facts;
}

// One question at a time: a second Enter while the first is on its way changes nothing.
async function change(path, question, words) {
  if (busy) return;
  busy = true;
  try {
    show(await ask(path, question));
    if (words) say(words());
  } catch (fault) {
    say(fault.message, true);
  } finally {
    busy = false;
  }
}

function show(next) {
  const before = state;
  state = next;
  at("rater").textContent = state.rater;
  at("count").textContent = `${state.done} of ${state.total}`;
  at("progress").setAttribute("aria-valuemax", state.total);
  at("progress").setAttribute("aria-valuenow", state.done);
  at("bar").style.width = `${state.total ? 100 * state.done / state.total : 0}%`;
  at("left-out").hidden = !state.unreadable.length;
  at("left-out").textContent = ["Left out, because they cannot be read:", ...state.unreadable].join("\n");
  at("start").hidden = true;
  at("top").hidden = false;
  stage.hidden = at("foot").hidden = !state.next;
  at("end").hidden = Boolean(state.next);
  entry.value = state.taken_back === null ? "" : String(state.taken_back);
  if (!state.next) return;
  if (!before || !before.next || before.next.frame !== state.next.frame || frame.classList.contains("waiting")) {
    frame.classList.add("waiting");
    frame.src = `frames/${state.next.frame}`;
  }
  entry.focus();
  entry.select();
}

frame.addEventListener("load", () => {
  frame.classList.remove("waiting");
  layOut();
  stage.scrollTo((stage.scrollWidth - stage.clientWidth) / 2, (stage.scrollHeight - stage.clientHeight) / 2);
});
frame.addEventListener("error", () => say("The frame cannot be shown; load the page again.", true));

// Zoom

function wholeFrame() {
  const margins = 24;
  return Math.min((stage.offsetWidth - margins) / frame.naturalWidth, // offset: as if there were no scroll bars
    (stage.offsetHeight - margins) / frame.naturalHeight);
}

function scale() {
  return zoom === null ? wholeFrame() : zoom / window.devicePixelRatio;
}

function layOut() {
  if (!frame.naturalWidth) return;
  frame.style.width = `${frame.naturalWidth * scale()}px`;
  frame.style.height = `${frame.naturalHeight * scale()}px`;
  frame.classList.toggle("enlarged", scale() * window.devicePixelRatio >= 1);
  at("zoom").setAttribute("aria-pressed", String(zoom !== null));
}

// The point of the frame under (x, y) of the stage stays where it is.
function zoomTo(wanted, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const box = frame.getBoundingClientRect(), room = stage.getBoundingClientRect();
  const u = (room.left + x - box.left) / box.width, v = (room.top + y - box.top) / box.height;
  zoom = wanted === null ? null : Math.min(16, Math.max(0.1, wanted));
  layOut();
  const now = frame.getBoundingClientRect();
  stage.scrollBy(now.left + u * now.width - room.left - x, now.top + v * now.height - room.top - y);
}

const byFactor = (factor, x, y) => zoomTo(scale() * window.devicePixelRatio * factor, x, y);
const toggleZoom = () => zoomTo(zoom === null ? 1 : null);

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const room = stage.getBoundingClientRect();
  byFactor(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - room.left, event.clientY - room.top);
}, { passive: false });
stage.addEventListener("pointerdown", (event) => {
  stage.setPointerCapture(event.pointerId);
  stage.classList.add("held");
});
stage.addEventListener("pointermove", (event) => {
  if (stage.classList.contains("held")) stage.scrollBy(-event.movementX, -event.movementY);
});
for (const over of ["pointerup", "pointercancel"]) {
  stage.addEventListener(over, () => { stage.classList.remove("held"); entry.focus(); });
}
window.addEventListener("resize", layOut);

// Scores

function save() {
  if (!state || !state.next || frame.classList.contains("waiting")) return;
  const text = entry.value.trim().replace(",", ".");
  const score = Number(text);
  if (text === "" || !Number.isFinite(score) || score < low || score > high) {
    say(`Type a score from ${low} to ${high}.`, true);
    entry.select();
    return;
  }
  const { frame: number, earlier } = state.next;
  change("rate", { rater, frame: number, earlier, score },
    () => state.next ? `Saved ${score}.` : `Saved ${score}. All frames are scored.`);
}

function undo() {
  if (state) change("undo", { rater }, () => "Taken back: score it anew.");
}

const KEYS = {
  u: undo, z: toggleZoom, "+": () => byFactor(1.25), "=": () => byFactor(1.25),
  "-": () => byFactor(0.8), Escape: () => { entry.value = ""; },
  ArrowLeft: () => stage.scrollBy(-80, 0), ArrowRight: () => stage.scrollBy(80, 0),
  ArrowUp: () => stage.scrollBy(0, -80), ArrowDown: () => stage.scrollBy(0, 80),
};

document.addEventListener("keydown", (event) => {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "Backspace" && entry.value === "") {
    event.preventDefault();
    if (!event.repeat) undo();
  } else if (key === "Enter" && !["BUTTON", "INPUT"].includes(document.activeElement.tagName)) {
    save();
  } else if (key === "-" && low < 0 && entry.value === "") {
    entry.focus();
  } else if (KEYS[key]) {
    event.preventDefault();
    if (key !== "u" || !event.repeat) KEYS[key]();
  } else if (/^[0-9.,]$/.test(key) && document.activeElement !== entry) {
    entry.focus();
  }
});

at("score-form").addEventListener("submit", (event) => { event.preventDefault(); save(); });
at("undo").addEventListener("click", undo);
at("zoom").addEventListener("click", () => { toggleZoom(); entry.focus(); });
at("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = at("name").value.trim();
  change("state", { rater });
});

function drawScale() {
  if (!Number.isInteger(low) || !Number.isInteger(high) || high - low > 20) return;
  for (let value = low; value <= high; value += 1) {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    button.textContent = String(value);
    button.addEventListener("click", () => { entry.value = String(value); entry.focus(); });
    at("scale").append(button);
  }
}

ask("begin").then((facts) => {
  ({ low, high } = facts);
  for (const each of document.querySelectorAll(".low")) each.textContent = String(low);
  for (const each of document.querySelectorAll(".high")) each.textContent = String(high);
  at("frames").textContent = String(facts.frames);
  at("name").value = facts.rater;
  at("name").readOnly = facts.rater !== "";
  drawScale();
  (facts.rater ? document.querySelector("#name-form button") : at("name")).focus();
}).catch((fault) => say(fault.message, true));
