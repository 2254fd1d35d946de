import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';

import { IEventStream, IObject } from '../../api';
import { ObjectListModel } from '../list/model';
import { RowCommands } from '../rowCommands';

// Icons and dialogs of Lab, which no command here shows.
jest.mock('@jupyterlab/ui-components', () => ({}));
jest.mock('@jupyterlab/apputils', () => ({}));

interface IThing extends IObject {
  readonly state: 'on' | 'off';
}

const thing = (number: number, state: IThing['state']): IThing => ({
  id: `thing-${number}`,
  object: 'thing',
  state
});

async function setUp() {
  const events = {} as IEventStream;
  const signal = new Signal<IEventStream, never>(events);
  const model = new ObjectListModel<IThing>(
    {
      events: { changes: () => signal, reset: signal } as unknown as IEventStream,
      list: async () =>
        ({ data: [thing(1, 'on'), thing(2, 'off'), thing(3, 'on')], has_more: false }) as never
    },
    { path: '/v1/things', object: 'thing' }
  );
  await model.load();
  const commands = new CommandRegistry();
  const trans = nullTranslator.load('perijove');
  const rows = new RowCommands('thing', {
    commands,
    model,
    details: {} as never,
    preferences: {} as never,
    trans
  });
  const acted: string[] = [];
  const off = (item?: IThing): boolean => item?.state !== 'off';
  const label = (count: number): string => `Switch ${count} off`;
  rows.addEach('off', { label, fits: off }, 'Not switched off.', async id => {
    acted.push(id);
    return thing(Number(id.slice(-1)), 'off');
  });
  rows.add('one', { label: 'One', single: true, execute: ids => acted.push(...ids) });
  return { acted, commands, model };
}

describe('RowCommands', () => {
  it('acts on the selected rows that it fits, and shows what came of it', async () => {
    const { acted, commands, model } = await setUp();
    expect(commands.isEnabled('off')).toBe(false);
    model.selection.all(['thing-1', 'thing-2', 'thing-3']);
    expect(commands.label('off')).toBe('Switch 2 off');
    await commands.execute('off');
    expect(acted).toEqual(['thing-1', 'thing-3']);
    expect(model.items.map(item => item.state)).toEqual(['off', 'off', 'off']);
    expect(commands.isEnabled('off')).toBe(false);
  });

  it('acts on the rows that it is called with, also on those that are not in the list', async () => {
    const { acted, commands, model } = await setUp();
    model.selection.only('thing-1');
    expect(commands.isEnabled('off', { ids: ['thing-2'] })).toBe(false);
    await commands.execute('off', { ids: ['thing-2', 'thing-9'] });
    expect(acted).toEqual(['thing-9']);
  });

  it('is for one row alone where it says so', async () => {
    const { acted, commands } = await setUp();
    expect(commands.isEnabled('one', { ids: ['thing-1', 'thing-2'] })).toBe(false);
    await commands.execute('one', { ids: ['thing-1'] });
    expect(acted).toEqual(['thing-1']);
  });
});
