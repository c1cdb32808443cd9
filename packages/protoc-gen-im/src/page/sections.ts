// What the page is made of.
export interface Chapter {
  readonly title: string;
  /** HTML. */
  readonly intro: string;
  readonly sections: readonly Section[];
}

export interface Section {
  readonly id: string;
  readonly title: string;
  /** A verb or a direction; may be empty. */
  readonly badge: string;
  readonly subtitle: string;
  /** Further text that the filter looks at. */
  readonly words: string;
  /** HTML. */
  readonly prose: string;
  /** HTML, beside the prose where there is room; may be empty. */
  readonly code: string;
}
