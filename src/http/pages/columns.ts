/**
 * Headings by which a table is sorted: links that say in the URL what is to be in order. Source: WEB.md "Behaviour".
 */

/** The order of a table: by what, and whether the last comes first. */
export interface Order<Sort extends string> {
  readonly sort: Sort
  readonly descending: boolean
}

/** A heading as the templates take it; `order` is `aria-sort`. */
export interface SortColumn<Sort extends string> {
  readonly text: string
  readonly sort: Sort
  readonly order: 'ascending' | 'descending' | 'none'
  readonly href: string
}

/** `current`: the order that is shown, which its own heading turns round. `descendsFirst`: the last is what one looks for. */
export function sortColumn<Sort extends string>(
  current: { readonly sort: Sort | undefined; readonly descending: boolean },
  { sort, text, descendsFirst = false }: { sort: Sort; text: string; descendsFirst?: boolean },
  hrefOf: (order: Order<Sort>) => string,
): SortColumn<Sort> {
  if (current.sort !== sort) return { text, sort, order: 'none', href: hrefOf({ sort, descending: descendsFirst }) }
  const { descending } = current
  return { text, sort, order: descending ? 'descending' : 'ascending', href: hrefOf({ sort, descending: !descending }) }
}

/** The order as it is in the URL: `name`, `-when`. */
export function sortParam({ sort, descending }: Order<string>): string {
  return `${descending ? '-' : ''}${sort}`
}
