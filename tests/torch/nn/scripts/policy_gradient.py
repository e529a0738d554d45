# REINFORCE on a bandit with two states: probabilities, draws and returns by hand.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(543)
np.random.seed(543)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(2, 8)
        self.dropout = nn.Dropout(p=0.2)
        self.action_head = nn.Linear(8, 2)
        self.value_head = nn.Linear(8, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


model = Policy()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
eps = np.finfo(np.float32).eps.item()


def select_action(state):
    state = torch.from_numpy(state).float()
    probs, state_value = model(state)
    action = torch.multinomial(probs, 1)
    model.saved_actions.append((torch.log(probs[action]), state_value))
    return action.item()


def finish_episode():
    R = 0
    policy_losses, value_losses, returns = [], [], []
    for r in model.rewards[::-1]:
        R = r + 0.9 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.cat(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


for i_episode in range(5):
    ep_reward = 0
    for t in range(8):
        state = np.eye(2)[np.random.randint(2)]
        action = select_action(state)
        reward = float(action == state.argmax())
        model.rewards.append(reward)
        ep_reward += reward
    loss = finish_episode()
    print("Episode {}\tLast reward: {:.2f}\tLoss: {:.3f}".format(i_episode, ep_reward, loss))
model.eval()
print(model(torch.eye(2)))
