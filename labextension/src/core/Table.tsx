import * as React from 'react';

/** A table that scrolls sideways where there is no room; what an empty one says stands in its place. */
export function Table(props: {
  readonly titles: readonly string[];
  readonly rows: readonly (readonly React.ReactNode[])[];
  readonly empty: string;
}): React.ReactElement {
  const { titles, rows, empty } = props;
  if (rows.length === 0) {
    return <p className="jp-PerijoveJob-none">{empty}</p>;
  }
  return (
    <div className="jp-PerijoveJob-tableScroll" tabIndex={0}>
      <table className="jp-PerijoveJob-table">
        <thead>
          <tr>
            {titles.map(title => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells, row) => (
            <tr key={row}>
              {cells.map((cell, column) => (
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
