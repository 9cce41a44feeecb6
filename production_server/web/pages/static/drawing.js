// A canvas to draw on with mouse, pen or finger: black on white paper, stroke by stroke so that one can be taken back.

export class Drawing {
  onchange = () => {};
  width = 16;
  isFilling = false;
  #canvas;
  #context;
  #strokes = [];
  #current = null;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.#start(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#end());
    this.#paint();
  }

  get isEmpty() {
    return this.#strokes.length === 0;
  }

  undo() {
    this.#strokes.pop();
    this.#paint();
  }

  clear() {
    this.#strokes = [];
    this.#paint();
  }

  // At once, not by toBlob: a form that is being submitted does not wait.
  toFile(name) {
    const bytes = atob(this.#canvas.toDataURL("image/png").split(",")[1]);
    return new File([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))], name, { type: "image/png" });
  }

  #start(event) {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#current = { points: [this.#place(event)], width: this.width, isFilled: this.isFilling };
    this.#strokes.push(this.#current);
    this.#paint();
  }

  #move(event) {
    if (!this.#current || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.#current.points.push(this.#place(each));
    this.#paint();
  }

  #end() {
    this.#current = null;
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  #paint() {
    const context = this.#context;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = "#000";
    for (const stroke of this.#strokes) {
      const [[x, y], ...rest] = stroke.points;
      context.lineWidth = stroke.width;
      context.beginPath();
      context.moveTo(x, y);
      // A line of no length is not drawn: a tap is a very short one.
      for (const [a, b] of rest.length ? rest : [[x + 0.01, y]]) context.lineTo(a, b);
      if (stroke.isFilled) context.fill();
      context.stroke();
    }
    this.onchange();
  }
}
