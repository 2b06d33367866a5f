const SETTLED = 100; // milliseconds without a cell after which the next one is not on its way already

/**
 * What the browser has to say to the kernel, held back while a cell runs: a kernel that is busy would read a
 * thousand answers afterwards, and ipykernel 7.4 loses track of which cell it runs when one arrives while it awaits in
 * a cell.
 *
 * The kernel's status alone does not tell: a request on its control channel turns it to idle in the middle of a cell.
 * Cells that were asked for together follow each other within milliseconds.
 */
export class Words {
  constructor(model) {
    this.model = model;
    this.kept = [];
    this.kernel = model.widget_manager?.kernel ?? null;
    this.free = !this.kernel?.iopubMessage;
    if (this.free) return;
    this.hear = (_, { header, parent_header: parent, content }) => {
      if (header.msg_type !== "status" || parent.msg_type !== "execute_request") return;
      this.free = false;
      clearTimeout(this.timer);
      if (content.execution_state === "idle") this.settle();
    };
    this.kernel.iopubMessage.connect(this.hear);
    this.settle();
  }

  /**
   * Say something, or what a function gives at that time; of what has the same `name` only the last is said. What goes
   * with buffers is a list of both.
   */
  say(content, name = null) {
    this.kept = this.kept.filter((words) => name === null || words.name !== name);
    this.kept.push({ content, name });
    if (this.free) this.speak();
  }

  settle() {
    this.timer = setTimeout(() => {
      if (this.kernel.status === "busy") {
        this.settle();
        return;
      }
      this.free = true;
      this.speak();
    }, SETTLED);
  }

  speak() {
    for (const { content } of this.kept.splice(0)) {
      const said = typeof content === "function" ? content() : content;
      if (Array.isArray(said)) this.model.send(said[0], undefined, said[1]);
      else this.model.send(said);
    }
  }

  close() {
    clearTimeout(this.timer);
    if (this.hear) this.kernel.iopubMessage.disconnect(this.hear);
  }
}
