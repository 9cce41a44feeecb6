// Images by choosing, dropping or drawing: all end up in the form's own file field, which is sent as it is.

import { Drawing } from "./drawing.js";

const form = document.getElementById("image-form");
const field = document.getElementById("file");
const zone = document.getElementById("drop-zone");
const previews = document.getElementById("previews");
const status = document.getElementById("image-status");

let chosen = [];
let drawn = 0;

function setFiles(files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  field.files = transfer.files;
  chosen = files;
  showPreviews();
}

function addFiles(files) {
  const images = files.filter((file) => file.type.startsWith("image/"));
  const others = files.length - images.length;
  setFiles([...chosen, ...images]);
  status.textContent = `${images.length} added${others ? `, ${others} left out: no image` : ""}. ${chosen.length} chosen.`;
}

function removeFile(index) {
  setFiles(chosen.filter((_, place) => place !== index));
  status.textContent = `Removed. ${chosen.length} chosen.`;
  const buttons = previews.querySelectorAll("button");
  (buttons[Math.min(index, buttons.length - 1)] ?? field).focus();
}

const MAX_PREVIEWS = 60;

function showPreviews() {
  for (const image of previews.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  const shown = chosen.slice(0, MAX_PREVIEWS).map(toPreview);
  if (chosen.length > MAX_PREVIEWS) {
    const rest = document.createElement("li");
    rest.textContent = `and ${chosen.length - MAX_PREVIEWS} more`;
    shown.push(rest);
  }
  previews.replaceChildren(...shown);
}

function toPreview(file, index) {
  const entry = document.createElement("li");
  const image = document.createElement("img");
  image.src = URL.createObjectURL(file);
  image.alt = "";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = file.name;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Remove";
  button.setAttribute("aria-label", `Remove ${file.name}`);
  button.addEventListener("click", () => removeFile(index));
  entry.append(image, name, button);
  return entry;
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

// A file that misses the zone must not replace the page.
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
}
document.addEventListener("dragover", (event) => zone.classList.toggle("is-over", hasFiles(event) && zone.contains(event.target)));
document.addEventListener("drop", (event) => {
  zone.classList.remove("is-over");
  if (hasFiles(event)) addFiles([...event.dataTransfer.files]);
});
zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));

field.addEventListener("change", () => addFiles([...field.files]));

const drawing = new Drawing(document.getElementById("canvas"));
const brush = document.getElementById("brush");
const fill = document.getElementById("fill");
const tools = ["undo", "clear", "keep"].map((id) => document.getElementById(id));

function keepDrawing() {
  drawn += 1;
  addFiles([drawing.toFile(`drawing-${drawn}.png`)]);
  drawing.clear();
}

drawing.onchange = () => {
  for (const button of tools) button.disabled = drawing.isEmpty;
};
drawing.width = Number(brush.value);
brush.addEventListener("input", () => (drawing.width = Number(brush.value)));
fill.addEventListener("change", () => (drawing.isFilling = fill.checked));
tools[0].addEventListener("click", () => drawing.undo());
tools[1].addEventListener("click", () => drawing.clear());
tools[2].addEventListener("click", keepDrawing);

// What is drawn is meant to be sent, with or without "Add to the images" before.
form.addEventListener("submit", () => drawing.isEmpty || keepDrawing(), { capture: true });

for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
// After "back" a browser may have kept the files of the form.
if (field.files.length > 0) addFiles([...field.files]);
