// Inputs and answers as a person sees them: the sentence large, the level with its shape, a state as a short list.
import { el, shape } from "/web/dom.js";

/** An answer as the server sorted it; what differs from `other` is underlined. */
export function answerOf(said, other = null, who = "") {
  const differs = (own, others) => (other && JSON.stringify(own) !== JSON.stringify(others) ? "differs" : null);
  const made = el("div", { class: `answer ${said.rank}` }, who ? el("p", { class: "who small quiet" }, who) : null);
  if (said.level) {
    made.append(el("p", { class: "level" }, shape(said.rank), el("span", { class: differs(said.level, other?.level) }, said.level)));
  }
  made.append(el("p", { class: "said" }, el("span", { class: differs(said.sentence, other?.sentence) }, said.sentence)));
  said.lists.forEach(([name, items], place) => {
    const others = other?.lists[place]?.[1];
    made.append(el("ul", { class: "items", "aria-label": name },
      ...items.map((item, at) => el("li", { class: other && others?.[at] !== item ? "differs" : null }, item))));
  });
  said.rest.forEach(([name, value], place) => {
    made.append(el("p", { class: "small" }, `${name}: `, el("span", { class: differs(value, other?.rest[place]?.[1]) }, value)));
  });
  return made;
}

/** What was said where that is no answer. */
export function noAnswer(text, who) {
  return el("div", { class: "answer grave" }, el("p", { class: "who small quiet" }, who), el("p", { class: "code" }, text));
}

/** An input field by field, those that the rule reads in bold. */
export function stateOf(fields, values, decides) {
  if (fields.length === 1) return el("p", { class: "state-text" }, values[0]);
  return el("dl", { class: "state" }, ...fields.map((name, place) =>
    el("div", { class: decides.includes(place) ? "decides" : null }, el("dt", {}, name), el("dd", {}, values[place]))));
}

/** One question of a report: what was said, what is right, the input, and why. */
export function caseOf(fields, one, text) {
  const made = el("article", { class: "case" });
  if (one.wrong) {
    made.append(el("div", { class: "answers" },
      one.said ? answerOf(one.said, one.right, text("case-said"))
        : noAnswer(one.raw || one.why, text(one.raw ? "case-no-answer" : "case-nothing")),
      one.right ? answerOf(one.right, one.said, text("case-right")) : null));
  } else made.append(answerOf(one.said || one.right));
  made.append(stateOf(fields, one.state, one.decides));
  const notes = [];
  if (one.lowered) notes.push(text("case-lowered"));
  if (one.violations?.length) notes.push(`${text("case-breaks")} ${one.violations.join(", ")}.`);
  if (one.reason) notes.push(`${one.rule} ${one.reason}`);
  if (notes.length) made.append(el("p", { class: "small quiet" }, notes.join(" ")));
  return made;
}

export const texts = {
  zh: {
    "case-said": "模型回答", "case-right": "正确回答", "case-no-answer": "模型输出（不是有效回答）", "case-nothing": "没有有效回答",
    "case-lowered": "危险被降级。", "case-breaks": "违反",
  },
  en: {
    "case-said": "said", "case-right": "right", "case-no-answer": "said, which is no answer", "case-nothing": "no answer",
    "case-lowered": "A danger was lowered.", "case-breaks": "Breaks",
  },
};
