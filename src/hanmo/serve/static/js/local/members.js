/**
 * Port of src/hanmo/charset/members.py: the characters behind the classes of the net. Characters that look the same
 * share a class.
 */

import { Problem } from "./problem.js";

/**
 * @typedef {object} Choice the classes that an answer may come from
 * @property {number[] | null} classes ascending; null means all
 * @property {(position: number) => {character: string, alike: string}} name of `classes[position]`; `alike` are the
 *   other members of the class that may be answered
 */

export class Members {
  /**
   * @param {{charset: string, groups?: Record<string, string>, sets?: Record<string, string>}} settings
   *   `groups` are a class's character and all its members; `sets` are the characters of each set that has a name
   */
  constructor({ charset, groups = {}, sets = {} }) {
    this.characters = [...charset];
    this._sets = sets;
    /** @type {Map<string, number>} the class of each character, members included, in Python's order */
    this._classes = new Map(this.characters.map((character, i) => [character, i]));
    /** @type {Map<number, string>} the other members of a class */
    this._others = new Map();
    for (const [character, members] of Object.entries(groups)) {
      const known = /** @type {number} */ (this._classes.get(character));
      const [, ...others] = members;
      this._others.set(known, others.join(""));
      for (const member of others) this._classes.set(member, known);
    }
    /** @type {Map<string, Choice>} the last choice by its text: pictures come one by one with the same one */
    this._choices = new Map();
  }

  /** @param {string} character @returns {number | undefined} its class */
  classOf(character) {
    return this._classes.get(character);
  }

  /**
   * @param {string} [among] names of sets joined by "+", or characters; left out: all
   * @returns {Choice}
   * @throws {Problem} where it names something else
   */
  choose(among) {
    if (among === undefined) {
      const name = (/** @type {number} */ i) => ({ character: this.characters[i], alike: this._others.get(i) ?? "" });
      return { classes: null, name };
    }
    let choice = this._choices.get(among);
    if (!choice) {
      choice = this._among(this._asked(among));
      this._choices.clear();
      this._choices.set(among, choice);
    }
    return choice;
  }

  /** @param {string} among @returns {Set<string>} */
  _asked(among) {
    const names = among.split("+");
    const asked = new Set(names.every((name) => name in this._sets) ? names.flatMap((name) => [...this._sets[name]]) : among);
    const unknown = [...asked].filter((character) => !this._classes.has(character));
    if (unknown.length || !asked.size) {
      const shown = unknown.slice(0, 20).join(" ");
      throw new Problem("unusable_among", `among names no set, and characters that are not known: ${shown}`);
    }
    return asked;
  }

  /** @param {Set<string>} asked @returns {Choice} */
  _among(asked) {
    /** @type {Map<number, string[]>} the members asked for, by class */
    const members = new Map();
    // All characters in order, so that the members of a class stay in the order of their group.
    for (const [character, known] of this._classes) {
      if (asked.has(character)) members.set(known, [...(members.get(known) ?? []), character]);
    }
    const classes = [...members.keys()].sort((a, b) => a - b);
    const name = (/** @type {number} */ position) => {
      const [character, ...others] = members.get(classes[position]) ?? [];
      return { character, alike: others.join("") };
    };
    return { classes, name };
  }
}
