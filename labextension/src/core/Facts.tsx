import * as React from 'react';

/** Names and what they stand for, as a description list; a fact of `null` is left out. */
export function Facts(props: {
  readonly facts: readonly (readonly [string, React.ReactNode])[];
}): React.ReactElement {
  return (
    <dl className="jp-PerijoveFacts">
      {props.facts
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
    </dl>
  );
}
