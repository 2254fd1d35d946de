import '../../style/views.js';

import { Clipboard, Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ApiError, ICluster, IRegistrationToken } from '../api';
import { attempt, Button, formatAbsolute, IFormField, showForm } from '../core';
import { IClusterContext } from './context';
import * as ids from './ids';
import { firstJoining, IJoining, nextJoining, PLACEHOLDER } from './joining';

const HOUR = 3600;
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Ask for a name, make the cluster, and show how its agent joins. */
export async function registerCluster(context: IClusterContext): Promise<void> {
  const { api, client, details, model, trans } = context;
  let token: IRegistrationToken | null = null;
  let made: ICluster | null = null;
  await showForm(
    {
      title: trans.__('Register a cluster'),
      fields: [
        {
          name: 'name',
          label: trans.__('Name'),
          help: trans.__('Lower-case letters, digits and hyphens. Jobs go by it: it stays.'),
          placeholder: trans.__('gpu-1'),
          required: true
        },
        { name: 'description', label: trans.__('Description') },
        validity(trans)
      ],
      submitLabel: trans.__('Register'),
      submit: async ({ name, description, validity: hours }) => {
        if (!NAME.test(name.trim())) {
          const message = trans.__('Begin and end with a letter or digit; at most 63 characters.');
          throw new ApiError(message, 400, 'name');
        }
        const seconds = Number(hours) * HOUR;
        const created = await api.create(name.trim(), description.trim(), seconds);
        // The list is not to hold the secret.
        ({ registration_token: token, ...made } = created);
      }
    },
    trans
  );
  if (made && token) {
    model.put(made);
    await showToken(token, firstJoining(baseUrl(client)), trans);
    await details.open(ids.CLUSTER_KIND, (made as ICluster).id);
  }
}

/** Make a new registration token, and show how an agent joins with it. */
export async function rotateToken(context: IClusterContext, cluster: ICluster): Promise<void> {
  const { api, client, trans } = context;
  let token: IRegistrationToken | null = null;
  await showForm(
    {
      title: trans.__('New registration token for %1', cluster.name),
      fields: [
        {
          ...validity(trans),
          help: trans.__(
            'Ends the token before it. An agent that is connected stays until the new one is used.'
          )
        }
      ],
      submitLabel: trans.__('Make a token'),
      submit: async ({ validity: hours }) => {
        token = await api.rotate(cluster.id, Number(hours) * HOUR);
      }
    },
    trans
  );
  if (token) {
    let registered = true;
    await attempt(
      trans.__('The cluster cannot be read.'),
      async () => {
        registered = (await api.retrieve(cluster.id)).credential !== null;
      },
      trans
    );
    await showToken(token, nextJoining(baseUrl(client), registered), trans);
  }
}

function validity(trans: TranslationBundle): IFormField {
  return {
    name: 'validity',
    label: trans.__('The token is valid for'),
    options: [
      { value: '24', label: trans.__('A day') },
      { value: '1', label: trans.__('An hour') },
      { value: '168', label: trans.__('A week') }
    ]
  };
}

function baseUrl(client: IClusterContext['client']): string | null {
  return client.status.current?.base_url ?? null;
}

/** Show a token, once. The dialog closes by its button only, so that no stray key loses the token. */
async function showToken(
  token: IRegistrationToken,
  joining: IJoining,
  trans: TranslationBundle
): Promise<void> {
  const body = ReactWidget.create(<Joining token={token} joining={joining} trans={trans} />);
  body.addClass('jp-PerijoveJoining');
  await showDialog({
    title: trans.__('Install the agent in the cluster'),
    body,
    hasClose: false,
    focusNodeSelector: 'button',
    buttons: [Dialog.okButton({ label: trans.__('Done') })]
  });
}

function Joining(props: {
  readonly token: IRegistrationToken;
  readonly joining: IJoining;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { token, joining, trans } = props;
  return (
    <>
      <p>
        {trans.__(
          'The agent dials out to the platform; nothing connects to the cluster. Its token is shown only now. It works once, until %1.',
          formatAbsolute(token.expires_at)
        )}
      </p>
      <ol>
        <li>
          {trans.__('Run this with the cluster’s kubectl. It waits for the token:')}
          <Copyable label={trans.__('Copy the commands')} text={joining.secret} trans={trans} />
        </li>
        <li>
          {trans.__('Paste the token there, press Enter, then Ctrl-D:')}
          <Copyable label={trans.__('Copy the token')} text={token.token} trans={trans} />
        </li>
        <li>
          {trans.__('Run this in a checkout of the platform, whose chart it installs:')}
          <Copyable label={trans.__('Copy the command')} text={joining.install} trans={trans} />
        </li>
      </ol>
      {joining.incomplete && (
        <p>
          {trans.__(
            'Put an address in place of %1 at which the cluster reaches this platform: the one that is known here exists on this machine only.',
            PLACEHOLDER
          )}
        </p>
      )}
    </>
  );
}

function Copyable(props: {
  readonly label: string;
  readonly text: string;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { label, text, trans } = props;
  const [copied, setCopied] = React.useState(false);
  const copy = (): void => {
    Clipboard.copyToSystem(text);
    setCopied(true);
  };
  return (
    <div className="jp-PerijoveJoining-command">
      <pre>{text}</pre>
      <Button
        onClick={copy}
        // Dialogs of Lab keep the press of Enter from buttons in their body.
        onKeyUp={event => event.key === 'Enter' && copy()}
      >
        {copied ? trans.__('Copied') : label}
      </Button>
    </div>
  );
}
